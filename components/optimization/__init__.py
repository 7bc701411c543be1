"""Making a trained network ready for inference: one ONNX graph, and the proof that it is the same model."""
