"""Float networks that can be looked into, changed and quantised, whatever their format."""

from mobilecv.quantisation.networks.interface import FloatNetwork
from mobilecv.quantisation.networks.onnx import OnnxNetwork
from mobilecv.quantisation.networks.tflite import TfliteNetwork

__all__ = ["FloatNetwork", "OnnxNetwork", "TfliteNetwork"]
