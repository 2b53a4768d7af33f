"""TensorFlow's SavedModel and graph files: which operations they hold. A graph can read and write files as it runs."""

import re
from collections.abc import Iterator

from modelkeep.scanner.protobuf import Message, message
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Broken, OverLimit, Source
from modelkeep.scanner.words import words

_OPERATION = re.compile(r"[A-Z][A-Za-z0-9_>]{1,100}")
_REACHING = re.compile(
    r"(Read|Write)File|MatchingFiles|PyFunc|PyFuncStateless|EagerPyFunc|.*(RecordDataset|LineDataset|RecordReader"
    r"|FileReader|LineReader|ReaderRead|ReaderReadUpTo|FilesystemSetConfiguration|Shell|Rpc.*"
    r"|GrpcServer)(V\d)?|WriteAudioSummary|SaveDatasetV?\d?"
    r"|LoadDataset(V\d)?|DebugIdentity(V\d)?|DebugNanCount|DumpTensor|Print(V\d)?|DecodeProto(V\d)?|EncodeProto"
    r"|XlaLaunch|TFRecord.*|LoadLibrary|CloseSummaryWriter|CreateSummaryFileWriter|WriteGraphSummary|WriteSummary"
    r"|WriteRawProtoSummary|ImportEvent|FixedLengthRecord.*|SqlDataset|ExperimentalSqlDataset"
)
_KNOWN = frozenset(
    words(
        "Abs Acos Add AddN AddV2 All Any ArgMax ArgMin AsString Asin Assert Assign AssignAddVariableOp "
        "AssignVariableOp Atan AvgPool AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd "
        "BiasAddGrad Bitcast BroadcastArgs BroadcastTo Bucketize Case Cast Ceil CheckNumerics ClipByValue Concat "
        "ConcatV2 Const Conv2D Conv2DBackpropInput Conv3D Cos Cumprod Cumsum DenseBincount DepthToSpace "
        "DepthwiseConv2dNative DisableCopyOnRead Einsum Elu Empty Enter Equal Erf Exit Exp ExpandDims Expm1 Fill "
        "Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual "
        "HashTableV2 Identity IdentityN If Inv IsFinite IsInf IsNan L2Loss LRN LeakyRelu Less LessEqual LinSpace Log "
        "Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2 "
        "LoopCond MatMul MatrixBandPart Max MaxPool MaxPool3D Maximum Mean Merge MergeV2Checkpoints Min Minimum "
        "MirrorPad Mod Mul MutableHashTableV2 Neg NextIteration NoOp NotEqual OneHot OnesLike Pack Pad PadV2 "
        "PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient Prod RaggedTensorToTensor "
        "RandomStandardNormal RandomUniform RandomUniformInt Range Rank ReadVariableOp RealDiv Reciprocal "
        "RegexReplace Relu Relu6 Reshape ResizeBilinear ResizeNearestNeighbor RestoreV2 Reverse ReverseV2 Round Rsqrt "
        "SaveV2 ScatterNd Select SelectV2 Selu Shape ShapeN ShardedFilename Sigmoid Sign Sin Size Slice Softmax "
        "Softplus Softsign SpaceToBatchND SpaceToDepth SparseToDense Split SplitV Sqrt Square SquaredDifference "
        "Squeeze StatefulPartitionedCall StatelessIf StatelessRandomUniformV2 StatelessWhile StaticRegexReplace "
        "StopGradient StridedSlice StringFormat StringJoin StringLower StringSplitV2 StringToHashBucketFast "
        "StringToNumber Sub Sum Switch Tan Tanh TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 "
        "TensorArraySizeV3 TensorArrayV3 TensorArrayWriteV3 TensorListFromTensor TensorListGetItem TensorListReserve "
        "TensorListSetItem TensorListStack Tile TopKV2 Transpose TruncatedNormal Unpack Unique UnsortedSegmentSum "
        "VarHandleOp VarIsInitializedOp VariableV2 Where While ZerosLike Xdivy Xlogy"
    )
)


def is_saved_model(source: Source) -> bool:
    """Whether the fields are those of a SavedModel: a schema version and graphs."""
    try:
        found = {(field.number, field.wire) for field in message(source).fields()}
    except (Broken, OverLimit):
        return False
    return found in ({(1, 0), (2, 2)}, {(2, 2)}) and any(True for _ in _saved_operations(source))


def is_graph(source: Source) -> bool:
    """Whether the fields are those of a graph whose nodes name operations."""
    try:
        graph = message(source)
        found = {(field.number, field.wire) for field in graph.fields()}
        if not found <= {(1, 2), (2, 2), (3, 0), (4, 2), (5, 2)} or (1, 2) not in found:
            return False
        operations = list(_graph_operations(graph))
    except (Broken, OverLimit):
        return False
    return bool(operations) and all(_OPERATION.fullmatch(one.rpartition(">")[2]) for one in operations)


def inspect_saved_model(scan: Scan, source: Source) -> str:
    """Report operations that reach outside, and those that are not known."""
    _report(scan, _saved_operations(source))
    return "tensorflow savedmodel"


def inspect_graph(scan: Scan, source: Source) -> str:
    """Report operations that reach outside, and those that are not known."""
    _report(scan, _graph_operations(message(source)))
    return "tensorflow graph"


def _report(scan: Scan, operations: Iterator[str]) -> None:
    for operation in sorted(set(operations) - _KNOWN):
        if _REACHING.fullmatch(operation):
            scan.report("tensorflow.operation", f"It runs {operation}, which reaches files, processes or Python.")
        else:
            scan.report("tensorflow.unknown-operation", f"It runs {operation}, which is not on the list of known ones.")


def _saved_operations(source: Source) -> Iterator[str]:
    model = message(source)
    for field in model.fields():
        if field.number == 2 and field.wire == 2:
            meta = model.inner(field)
            for inner in meta.fields():
                if inner.number == 2 and inner.wire == 2:
                    yield from _graph_operations(meta.inner(inner))


def _graph_operations(graph: Message) -> Iterator[str]:
    for field in graph.fields():
        if field.wire == 2 and field.number == 1:
            yield from _operation(graph.inner(field))
        elif field.wire == 2 and field.number == 2:
            library = graph.inner(field)
            for function in (one for one in library.fields() if one.number == 1 and one.wire == 2):
                body = library.inner(function)
                for node in (one for one in body.fields() if one.number == 3 and one.wire == 2):
                    yield from _operation(body.inner(node))


def _operation(node: Message) -> Iterator[str]:
    for field in node.fields():
        if field.number == 2 and field.wire == 2:
            yield node.text(field, 200)
