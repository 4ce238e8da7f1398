"""ONNX Runtime on the processor: the only file that imports it.

Threads do not spin between frames (`allow_spinning=0`: a far shorter tail and a third less processor time while idle
for a slightly slower median) and one node runs at a time. Its own log is silenced: what goes wrong is raised.
Plain `session.run` is used: with 800 kB in and out it was twice as fast as `run_with_ort_values` (ONNX Runtime 1.32).
"""

from typing import Any

from hedgerow.errors import EngineError, HostError, UsageError
from hedgerow.models.engines.engine import Call, Cancelled
from hedgerow.models.tensors import Tensors, TensorSpec

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as native
except ImportError as error:
    raise HostError("ONNX Runtime is not installed here; install it with `pip install onnxruntime`") from error

LOG_FATAL = 4
THREADS_MAX = 256
# The native module raises these, which have no common base below Exception; ValueError and RuntimeError come from
# its Python side (a missing input, an array it cannot convert).
_FAILURES: tuple[type[Exception], ...] = (
    native.EPFail,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
    RuntimeError,
    ValueError,
)
_DTYPES = {f"tensor({name})": name for name in ("float16", "bool")}
_DTYPES |= {f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_DTYPES |= {"tensor(float)": "float32", "tensor(double)": "float64"}


def _line(error: Exception) -> str:
    """The useful part of a runtime's message, on one line of at most 300 characters."""
    text = " ".join(str(error).split())
    return text.removeprefix("[ONNXRuntimeError] : ")[:300]


class OnnxRuntimeCall:
    """One run: its options carry the flag that ends it."""

    __slots__ = ("cancelled", "options")

    def __init__(self) -> None:
        self.cancelled = False
        self.options: Any = onnxruntime.RunOptions()
        self.options.log_severity_level = LOG_FATAL

    def cancel(self) -> None:
        """Set the flag that ONNX Runtime reads before each node."""
        self.cancelled = True
        self.options.terminate = True


class OnnxRuntimeProgram:
    """A session and the names of its outputs."""

    __slots__ = ("_names", "_session", "outputs")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [output.name for output in session.get_outputs()]
        self.outputs = tuple(self._names)

    def run(self, tensors: Tensors, call: Call) -> Tensors:
        """Run the piece; EngineError names what failed, Cancelled says that `call` was cancelled."""
        assert isinstance(call, OnnxRuntimeCall)
        try:
            arrays = self._session.run(self._names, tensors, call.options)
        except _FAILURES as error:
            if call.cancelled:
                raise Cancelled("the run was cancelled") from None
            raise EngineError(f"ONNX Runtime could not run the model: {_line(error)}") from error
        return dict(zip(self._names, arrays, strict=True))


class OnnxRuntimeEngine:
    """Loads ONNX models for the processor."""

    name = "onnxruntime"
    version: str = onnxruntime.__version__

    def load(self, model: bytes, *, threads: int) -> OnnxRuntimeProgram:
        """Open a session over the serialised model; EngineError if it does not load."""
        if not 1 <= threads <= THREADS_MAX:
            raise UsageError(f"threads must be 1 to {THREADS_MAX}, not {threads}")
        return OnnxRuntimeProgram(bare_session(model, threads=threads))

    def call(self) -> OnnxRuntimeCall:
        """Fresh options for one run."""
        return OnnxRuntimeCall()

    def describe(self, model: bytes) -> tuple[TensorSpec, ...]:
        """The outputs' specs, from a session that is not optimised; those of unknown type or rank are left out."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        found = []
        for output in _open(model, options).get_outputs():
            dtype = _DTYPES.get(output.type)
            if dtype is not None and output.shape:  # an empty shape is a scalar's, or stands for an unknown rank
                found.append(TensorSpec(output.name, dtype, tuple(output.shape)))
        return tuple(found)


def engine() -> OnnxRuntimeEngine:
    """The engine; it holds no state of its own."""
    return OnnxRuntimeEngine()


def bare_session(model: bytes, *, threads: int) -> Any:
    """ONNX Runtime's own session with the settings used here and nothing around it: what overhead is measured against."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return _open(model, options)


def _open(model: bytes, options: Any) -> Any:
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _FAILURES as error:
        raise EngineError(f"ONNX Runtime could not load the model: {_line(error)}") from error
