"""Models as people have them: written by the real libraries where those are here, else by hand in their formats."""

import bz2
import gzip
import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import scipy.sparse
import skops.io
import yaml
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from inspection.forge import (
    archive,
    field,
    found,
    gguf,
    hdf5,
    keras_config,
    keras_layer,
    npy,
    onnx,
    safetensors,
    saved_model,
    tar,
    torch_legacy,
    torch_state,
    torch_zip,
)

Files = dict[str, bytes]
WHEN = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
X = np.random.default_rng(7).random((60, 4))
Y = (X[:, 0] > 0.5).astype(int)
LABELS = np.where(Y == 1, "yes", "no").astype(object)
TEMPLATE = "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}{% endfor %}"


def saved(value: Any, **options: Any) -> bytes:
    """By joblib."""
    file = io.BytesIO()
    joblib.dump(value, file, **options)
    return file.getvalue()


def arrays(**values: Any) -> bytes:
    """An .npz file."""
    file = io.BytesIO()
    np.savez_compressed(file, **values)
    return file.getvalue()


def array(value: Any) -> bytes:
    """An .npy file."""
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def ubjson(value: Any) -> bytes:
    """As XGBoost writes its models, in short."""
    if isinstance(value, dict):
        pairs = (ubjson(key)[1:] + ubjson(inner) for key, inner in value.items())
        return b"{" + b"".join(pairs) + b"}"
    if isinstance(value, list):
        return b"[$d#L" + struct.pack(">q", len(value)) + b"".join(struct.pack(">f", one) for one in value)
    if isinstance(value, int):
        return b"l" + struct.pack(">i", value)
    return b"SL" + struct.pack(">q", len(value)) + value.encode()


def estimators() -> dict[str, Any]:
    """Fitted models of scikit-learn."""
    mixed = pd.DataFrame({"a": X[:, 0], "b": LABELS})
    columns = ColumnTransformer([("n", StandardScaler(), ["a"]), ("c", OneHotEncoder(), ["b"])])
    return {
        "linear": LinearRegression().fit(X, Y),
        "logistic-of-texts": LogisticRegression().fit(X, LABELS),
        "forest": RandomForestClassifier(5).fit(X, LABELS),
        "gradient-boosting": GradientBoostingClassifier(n_estimators=3).fit(X, Y),
        "histogram-boosting": HistGradientBoostingClassifier(max_iter=3).fit(X, Y),
        "tree": DecisionTreeClassifier().fit(X, Y),
        "svc": SVC().fit(X, Y),
        "sgd": SGDClassifier().fit(X, Y),
        "neighbours": KNeighborsClassifier(algorithm="kd_tree").fit(X, Y),
        "perceptron": MLPClassifier((4,), max_iter=5).fit(X, Y),
        "bayes": GaussianNB().fit(X, Y),
        "means": KMeans(2, n_init=1).fit(X),
        "pca": PCA(2).fit(X),
        "texts": TfidfVectorizer().fit(["a word", "two words more"]),
        "columns": make_pipeline(columns, LogisticRegression()).fit(mixed, Y),
        "log-transform": make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(X, Y),
        "search": GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2).fit(X, Y),
    }


def objects() -> dict[str, bytes]:
    """Pickles of plain data."""
    frame = pd.DataFrame({"n": [1, 2], "f": [0.5, None], "c": pd.Categorical(["u", "v"])})
    plain = {"a": [1, 2.5, None, True], "b": (b"x", "y" * 900), "c": {1, 2}, "d": datetime(2026, 1, 1, tzinfo=UTC)}
    return {
        "plain": pickle.dumps(plain | {"e": timedelta(1), "f": OrderedDict(a=1), "g": frozenset("x"), "h": 1 << 90}),
        "plain-text-protocol": pickle.dumps(plain, 0),
        "frame": pickle.dumps(frame),
        "series-2": pickle.dumps(pd.Series([1.0, 2.0]), 2),
        "sparse": pickle.dumps(scipy.sparse.csr_matrix(X)),
        "arrays": pickle.dumps([X, np.float64(1), np.dtype("i4"), np.ma.masked_array([1], [True])], 5),
        "texts-array": pickle.dumps(LABELS),
        "random-state": pickle.dumps([np.random.default_rng(1), np.random.RandomState(1)]),
        "several": pickle.dumps(1) + pickle.dumps([2]) + pickle.dumps("three"),
    }


def torch() -> dict[str, Files]:
    """As torch writes them."""
    module = b"\x80\x04" + found("torch.nn.modules.linear", "Linear") + b")\x81}b."
    return {
        "torch-state": {"model.pt": torch_zip(torch_state(("w", "b")), 2)},
        "torch-legacy": {"model.pth": torch_legacy(torch_state())},
        "torch-module": {"model.pt": torch_zip(module)},
        "torch-compressed": {"pytorch_model.bin": gzip.compress(torch_zip(torch_state()))},
        "torch-tar": {"model.tar.gz": tar({"model.pt": torch_zip(torch_state()), "readme.txt": b"hello"}, mode="w:gz")},
    }


def weights() -> dict[str, Files]:
    """Formats of nothing but numbers, and graphs of known operations."""
    dense = keras_layer("Dense", activation="relu", kernel_initializer=keras_layer("Zeros", "keras.initializers"))
    checkpoint = {"variables/variables.index": b"\0" * 40 + bytes.fromhex("57fb808b247547db")}
    return {
        "npy": {"a.npy": array(X)},
        "npy-texts": {"a.npy": array(np.array(["a", "bc"]))},
        "npy-structured": {"a.npy": array(np.zeros(3, [("x", "<f4"), ("y", "<i8", (2,))]))},
        "npy-empty": {"a.npy": npy("'<f4'", b"", "(0, 3)")},
        "npz": {"a.npz": arrays(x=X, y=Y)},
        "safetensors": {"m.safetensors": safetensors({"w": ("F32", [2, 3], 24), "b": ("BF16", [3], 6)}, {"f": "pt"})},
        "safetensors-empty": {"m.safetensors": safetensors({})},
        "safetensors-long-as-a-pickle-begins": {"m.safetensors": safetensors({}, {"a": "x" * (0x180 - 26)})},
        "tar-of-a-text-that-begins-as-an-import": {"m.tar": tar({"config.json": b'{\n"a": 1,\n"b": 2\n}\n'})},
        "text-that-begins-as-an-import": {"notes.txt": b"contents\n\n2a first\n2b second\n"},
        "onnx": {"m.onnx": onnx()},
        "onnx-external": {"m/a.bin": bytes(range(256)) * 2, "m/m.onnx": onnx("a.bin")},
        "onnx-ml": {"m.onnx": onnx(domain="ai.onnx.ml")},
        "gguf": {"m.gguf": gguf({"blocks": 2, "ids": [1, 2], "tokenizer.chat_template": TEMPLATE})},
        "keras": {"m.keras": archive({"config.json": keras_config(dense), "model.weights.h5": hdf5()})},
        "keras-h5": {"m.h5": hdf5(b"model_config", keras_config(dense), b"layer_names")},
        "weights-h5": {"w.h5": hdf5(b"layer_names", b"dense")},
        "savedmodel": {
            "saved_model.pb": saved_model("Placeholder", "VarHandleOp", "MatMul", "Softmax"),
            "variables/variables.data-00000-of-00001": bytes(range(255, -1, -1)) * 4,
            **checkpoint,
        },
        "frozen-graph": {"g.pb": field(1, field(1, "x") + field(2, "Const")) + field(1, field(2, "Relu"))},
        "tflite": {"m.tflite": b"\x1c\0\0\0TFL3" + bytes(64)},
    }  # fmt: skip


def texts() -> dict[str, Files]:
    """Texts, tables and images beside models."""
    trees = {
        "learner": {"gradient_booster": {"name": "gbtree", "model": {"trees": [{"split_conditions": [0.5, 1.0]}]}}}
    }
    frame = pd.DataFrame({"a": [1, 2]})
    return {
        "xgboost-json": {"model.json": json.dumps(trees).encode()},
        "xgboost-ubjson": {"model.ubj": ubjson({"learner": {"name": "gbtree", "weights": [0.5, 1.0], "trees": 3}})},
        "lightgbm-text": {"model.txt": b"tree\nversion=v4\nnum_class=1\nfeature_names=a b\n\nTree=0\nnum_leaves=2\n"},
        "pmml": {"m.pmml": b"<?xml version='1.0'?><PMML version='4.4'><Header/></PMML>"},
        "readme": {"README.md": "# Model\n\n```python\nimport x\nfrom x import y\n```\nÜbung `!!python`\n".encode()},
        "column-list": {"columns.txt": b"column\nname\n(first)\nitem\n.\n"},
        "csv": {"data.csv": frame.to_csv().encode(), "data.csv.gz": gzip.compress(frame.to_csv().encode())},
        "jsonl-bz2": {"data.jsonl.bz2": bz2.compress(b'{"a": 1}\n{"a": 2}\n')},
        "tokenizer": {"tokenizer_config.json": json.dumps({"chat_template": TEMPLATE}).encode(), "v.txt": b"[PAD]\n"},
        "png": {"plot.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 500},
        "parquet": {"data.parquet": b"PAR1" + bytes(range(200)) + b"PAR1"},
        "zip-of-texts": {"d.zip": archive({"a/b.txt": b"text " * 500, "c.csv": b"a,b\n1,2\n"}, zipfile.ZIP_DEFLATED)},
        "params-yaml": {"p.yaml": yaml.safe_dump({"a": [1], "d": WHEN}).encode(), "empty": b""},
    }  # fmt: skip


def mlflow_model(folder: Path) -> Files:
    """A folder as MLflow's own flavor of scikit-learn writes it."""
    signature = mlflow.models.infer_signature(pd.DataFrame(X, columns=list("abcd")), Y)
    model = LogisticRegression().fit(X, Y)
    packages = ["scikit-learn==1.7.0", "numpy==2.0.0"]
    mlflow.sklearn.save_model(
        model, str(folder), signature=signature, pip_requirements=packages, serialization_format="pickle"
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def benign() -> dict[str, Files]:
    """Every benign model by name, as the files of a version."""
    made = {f"sklearn-{name}": {"model.pkl": pickle.dumps(model)} for name, model in estimators().items()}
    made |= {f"joblib-{name}": {"model.joblib": saved(model)} for name, model in list(estimators().items())[:6]}
    made |= {
        "joblib-" + how: {"m.joblib": saved(KMeans(2, n_init=1).fit(X), compress=(how, 3))} for how in ("zlib", "xz")
    }
    made |= {f"pickle-{name}": {"data.pkl": content} for name, content in objects().items()}
    made["skops"] = {"m.skops": skops.io.dumps(LogisticRegression().fit(X, Y))}
    return made | torch() | weights() | texts()
