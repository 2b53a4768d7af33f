"""Every rule that a finding can name, and how bad it is."""

from modelkeep.scanner.report import Verdict

_UNSAFE = frozenset(
    {
        "archive.bomb",  # a few bytes unpack to very many
        "archive.inconsistent",  # two readers of it would see different contents
        "archive.link",  # a link or device among the members
        "archive.path",  # a member that leaves the folder it is unpacked in
        "executable",  # a program or shared library
        "gguf.template",  # a chat template that reaches for Python's inside
        "hdf5.code",  # a layer with code of its own
        "keras.code",  # a layer with code of its own
        "keras.import",  # a configuration that imports from outside Keras
        "onnx.path",  # tensors in files outside the model's folder
        "pickle.build",  # changes a class or function instead of an object
        "pickle.call",  # calls what may only be named, or what was computed
        "pickle.code",  # functions by value: code in the file
        "pickle.computed-import",  # imports a name that is not written in the file
        "pickle.extension",  # imports by a number that only the reader knows
        "pickle.import",  # imports what is known to run commands or open files
        "pickle.unknown-import",  # imports what is not on the list of harmless things
        "polyglot",  # two formats in one file
        "tensorflow.operation",  # an operation that touches files, processes or Python
        "text.template",  # a template that reaches for Python's inside
        "yaml.python",  # a tag that makes Python objects
    }
)
_UNVERIFIED = frozenset(
    {
        "archive.encrypted",
        "archive.hidden",  # bytes of an archive that belong to no member
        "archive.unknown",  # a kind of archive that is not opened
        "code",  # source or byte code that runs by design
        "environment.source",  # packages from elsewhere than the usual index
        "format.broken",
        "format.unknown",
        "keras.custom",  # a class that the file does not hold
        "limits.reached",
        "mlmodel.code",  # the model brings modules along
        "mlmodel.loader",  # loaded by a module that is not known
        "onnx.domain",  # operators from outside the standard
        "pickle.broken",
        "pickle.persistent",  # refers to objects that only the reader knows
        "pickle.trailing",
        "tensorflow.unknown-operation",
        "trailing",  # bytes behind the end of a format
    }
)


def severity_of(rule: str) -> Verdict:
    """How bad a rule's findings are."""
    if rule in _UNSAFE:
        return Verdict.UNSAFE
    return Verdict.UNVERIFIED if rule in _UNVERIFIED else Verdict.ERROR
