"""Export of a model's networks to ONNX and TensorRT. Only the command ``mimaface export`` imports this package."""
