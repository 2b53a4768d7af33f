"""What pickles may import, and what they may do with it; all else is not safe.

Block-lists lose: any module that is installed is a way to run code. A name is on this list only if nothing that a
pickle can do with it reads or writes outside the object that is being built.
"""

import re
from enum import IntEnum

from modelkeep.scanner.words import words


class Use(IntEnum):
    """What may be done with an imported thing; each includes those before it."""

    NAME = 1  # put somewhere as a value
    MAKE = 2  # made empty, without running its constructor, and given a state
    CALL = 3  # called, with any arguments


_BUILTINS = "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"
_NUMBERS = (
    "bool bool_ bytes_ clongdouble complex128 complex64 datetime64 float16 float32 float64 generic int16 int32 int64 "
    "int8 intc intp longdouble longlong object_ str_ timedelta64 uint uint16 uint32 uint64 uint8 uintc uintp ulonglong "
    "void half single double"
)
_STORAGES = (
    "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage "
    "FloatStorage HalfStorage IntStorage LongStorage QInt32Storage QInt8Storage QUInt8Storage ShortStorage"
)
_TENSORS = "BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor ShortTensor"
_TORCH_TYPES = (
    "bfloat16 bool complex128 complex64 float16 float32 float64 int16 int32 int64 int8 uint8 qint8 quint8 qint32 "
    "float8_e4m3fn float8_e5m2 strided sparse_coo contiguous_format channels_last preserve_format"
)
_REBUILD = (
    "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state "
    "_rebuild_qtensor _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage _rebuild_device_tensor_from_numpy"
)
_PANDAS_CALLS = (
    "_libs.arrays.__pyx_unpickle_NDArrayBacked _libs.internals._unpickle_block "
    "_libs.tslibs.timedeltas._timedelta_unpickle _libs.tslibs.timestamps._unpickle_timestamp "
    "core.indexes.base._new_Index core.indexes.datetimes._new_DatetimeIndex core.indexes.interval._new_IntervalIndex "
    "core.internals.managers.BlockManager core.internals.blocks.new_block "
    "CategoricalDtype PeriodDtype IntervalDtype DatetimeTZDtype StringDtype "
    "core.dtypes.dtypes.CategoricalDtype core.dtypes.dtypes.PeriodDtype core.arrays.string_.StringDtype"
)
_PANDAS_CLASSES = (
    "Categorical DataFrame DatetimeIndex Float64Dtype Index Int16Dtype Int32Dtype Int64Dtype Int8Dtype IntervalIndex "
    "MultiIndex PeriodIndex RangeIndex Series Timedelta TimedeltaIndex Timestamp BooleanDtype Float32Dtype "
    "arrays.ArrowStringArray arrays.BooleanArray arrays.DatetimeArray arrays.FloatingArray arrays.IntegerArray "
    "arrays.IntervalArray arrays.NumpyExtensionArray arrays.PeriodArray arrays.StringArray arrays.TimedeltaArray "
    "core.arrays.categorical.Categorical core.arrays.datetimes.DatetimeArray core.arrays.integer.Int64Dtype "
    "core.frame.DataFrame core.series.Series core.indexes.base.Index core.indexes.category.CategoricalIndex "
    "core.indexes.datetimes.DatetimeIndex core.indexes.multi.MultiIndex core.indexes.numeric.Float64Index "
    "core.indexes.numeric.Int64Index core.indexes.range.RangeIndex core.internals.managers.SingleBlockManager"
)
_FUNCTIONS = (
    "abs absolute add arctan cbrt ceil cos cosh deg2rad divide exp exp2 expm1 floor log log10 log1p log2 logical_not "
    "max maximum mean median min minimum multiply nan_to_num nanmax nanmean nanmedian nanmin nanstd negative power "
    "reciprocal rint round sign sin sinh sqrt square std subtract sum tan tanh var"
)
_SKLEARN_CALLS = (
    "linear_model._sgd_fast.Hinge linear_model._sgd_fast.Log linear_model._sgd_fast.ModifiedHuber "
    "linear_model._sgd_fast.SquaredHinge linear_model._sgd_fast.SquaredLoss linear_model._sgd_fast.Huber "
    "linear_model._sgd_fast.EpsilonInsensitive linear_model._sgd_fast.SquaredEpsilonInsensitive "
    "metrics._dist_metrics.newObj neighbors._ball_tree.newObj neighbors._kd_tree.newObj tree._tree.Tree utils.Bunch "
    "utils._bunch.Bunch"
)
_SKLEARN_NAMES = (
    "cluster._kmeans._kmeans_single_lloyd cluster._kmeans._kmeans_single_elkan "
    "feature_selection._univariate_selection.chi2 feature_selection._univariate_selection.f_classif "
    "feature_selection._univariate_selection.f_regression feature_selection._mutual_info.mutual_info_classif "
    "feature_selection._mutual_info.mutual_info_regression metrics._regression.mean_squared_error "
    "metrics._classification.accuracy_score metrics._scorer._passthrough_scorer metrics._dist_metrics.DistanceMetric"
)


def _of(module: str, names: str) -> set[str]:
    return {f"{module}.{name}" for name in words(names)}


def _numpy(names: str) -> set[str]:
    """Names of numpy's inside, which moved from `numpy.core` to `numpy._core`."""
    return _of("numpy.core", names) | _of("numpy._core", names)


_CALL = frozenset(
    _of("builtins", _BUILTINS)
    | _of("_codecs", "encode")
    | _of("collections", "OrderedDict defaultdict deque Counter")
    | _of("copyreg", "_reconstructor")
    | _of("datetime", "date datetime time timedelta timezone")
    | _of("decimal", "Decimal")
    | _of("fractions", "Fraction")
    | _of("pathlib", "PosixPath PurePosixPath PureWindowsPath WindowsPath")
    | _of("uuid", "UUID")
    | _of("numpy", f"dtype {_NUMBERS}")
    | _numpy("multiarray._reconstruct multiarray.scalar numeric._frombuffer _ufunc_reconstruct")
    | _of("numpy.dtypes", "StringDType")
    | _of("numpy.ma.core", "_mareconstruct")
    | _of("numpy.random._pickle", "__bit_generator_ctor __generator_ctor __randomstate_ctor")
    | _of("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence")
    | _of("pandas", _PANDAS_CALLS)
    | _of("pyarrow.lib", "_restore_array py_buffer type_for_alias")
    | _of("sklearn", _SKLEARN_CALLS)
    | _of("torch", f"Size device {_STORAGES} {_TENSORS}")
    | _of("torch._utils", _REBUILD)
    | _of("torch._tensor", "_rebuild_from_type_v2")
    | _of("torch.jit._pickle", "build_boollist build_doublelist build_intlist build_tensorlist restore_type_tag")
    | _of("torch.nn.parameter", "Parameter")
    | _of("torch.storage", "TypedStorage UntypedStorage")
)
_MAKE = frozenset(
    _of("argparse", "Namespace")
    | _of("types", "SimpleNamespace")
    | _of("joblib.numpy_pickle", "NumpyArrayWrapper")
    | _of("numpy", "ndarray matrix")
    | _of("numpy.matrixlib.defmatrix", "matrix")
    | _of("numpy.ma", "MaskedArray")
    | _of("numpy.ma.core", "MaskedArray")
    | _of("numpy.random", "RandomState Generator PCG64 MT19937")
    | _of("numpy.random._mt19937", "MT19937")
    | _of("numpy.random._pcg64", "PCG64 PCG64DXSM")
    | _of("numpy.random._philox", "Philox")
    | _of("numpy.random._sfc64", "SFC64")
    | _of("numpy.random.bit_generator", "SeedSequence")
    | _of("pandas", _PANDAS_CLASSES)
    | _of("torch", "Tensor")
    | _of("xgboost.core", "Booster")
    | _of("lightgbm.basic", "Booster")
    | _of("lightgbm.compat", "LGBMNotFittedError")
)
_NAME = frozenset(
    _of("numpy", _FUNCTIONS)
    | _of("sklearn", _SKLEARN_NAMES)
    | _of("torch", _TORCH_TYPES)
    | _of("collections.abc", "Mapping Sequence")
)

# Estimators and what they are made of: classes by their name, in modules that define nothing but such.
_ESTIMATOR_MODULE = re.compile(
    r"sklearn\.(_loss|calibration|cluster|compose|covariance|cross_decomposition|decomposition|discriminant_analysis"
    r"|dummy|ensemble|feature_extraction|feature_selection|gaussian_process|impute|isotonic|kernel_approximation"
    r"|kernel_ridge|linear_model|manifold|metrics|mixture|model_selection|multiclass|multioutput|naive_bayes|neighbors"
    r"|neural_network|pipeline|preprocessing|random_projection|semi_supervised|svm|tree)(\.[a-z_0-9]+)*"
)
_MADE_FAMILIES = (
    (_ESTIMATOR_MODULE, re.compile(r"_?[A-Z][A-Za-z0-9]*")),
    (re.compile(r"scipy\.sparse(\._?[a-z]+)?"), re.compile(r"(bsr|coo|csc|csr|dia|dok|lil)_(matrix|array)")),
    (re.compile(r"scipy\.interpolate(\._?[a-z0-9]+)?"), re.compile(r"BSpline|interp1d|PPoly|CubicSpline")),
    (re.compile(r"xgboost\.sklearn"), re.compile(r"XGB[A-Za-z]+")),
    (re.compile(r"lightgbm\.sklearn"), re.compile(r"LGBM[A-Za-z]+")),
    # What TorchScript calls its own classes: no module that could be imported.
    (re.compile(r"__torch__(\.\w+)*"), re.compile(r"\w+")),
    (re.compile(r"torch\.nn\.modules(\.[a-z_]+)+"), re.compile(r"[A-Z][A-Za-z0-9]*")),
)
_CALLED_FAMILIES = ((re.compile(r"sklearn\._loss\._loss"), re.compile(r"Cy[A-Z][A-Za-z]+")),)
_NOT_OURS = re.compile(r"\.(tests|conftest|test_\w+)(\.|$)|\b(Parallel|Path|Thread|Pool|Popen)\b")

# What is said of a refused import where it is known what it is for.
_COMMANDS = frozenset(
    words(
        "_aix_support _osx_support _posixsubprocess _pyrepl asyncio bdb builtins cProfile cffi code codeop commands "
        "concurrent ctypes distutils doctest ensurepip fileinput ftplib functools getpass glob http httplib idlelib "
        "imaplib imp importlib inspect io lib2to3 linecache logging marshal mmap multiprocessing nt ntpath numpy.f2py "
        "numpy.testing operator os pathlib pdb pickle pip pipes pkgutil platform popen2 poplib posix posixpath "
        "profile pty pydoc requests runpy setuptools shelve shutil signal site smtplib socket sqlite3 ssl subprocess "
        "sys tempfile test threading timeit tkinter torch.hub torch.serialization torch.utils trace types urllib "
        "urllib2 uuid webbrowser xmlrpc zipimport"
    )
)
_BY_VALUE = frozenset({"cloudpickle", "dill", "marshal"})


def use_of(module: str, name: str) -> Use | None:
    """What may be done with an import; None where it is not on the list."""
    full = f"{module}.{name}"
    if full in _CALL or _is_in(_CALLED_FAMILIES, module, name):
        return Use.CALL
    if full in _MAKE or _is_in(_MADE_FAMILIES, module, name):
        return Use.MAKE
    return Use.NAME if full in _NAME else None


def _is_in(families: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...], module: str, name: str) -> bool:
    if _NOT_OURS.search(f"{module}.{name}"):
        return False
    return any(of.fullmatch(module) and named.fullmatch(name) for of, named in families)


def refusal(module: str, name: str) -> tuple[str, str]:
    """The rule that an import which is not on the list breaks, and the words for it."""
    full = f"{module}.{name}"
    package = module.partition(".")[0]
    if package in _BY_VALUE:
        return "pickle.code", f"It holds functions by value: loading it runs {full}, which makes code from bytes."
    if module in _COMMANDS or package in _COMMANDS:
        return "pickle.import", f"Loading it imports {full}, which can run commands or reach files and the network."
    return "pickle.unknown-import", f"Loading it imports {full}, which is not on the list of harmless things."
