"""Quantized graphs: nothing is quantized yet; every artefact is float32."""
