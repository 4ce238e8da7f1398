"""A small encoder and decoder around a cut, so that far fewer bytes cross: learned from the uncut model's own answers.

The parts, in the order of their use. `pictures.py`: photographs cropped, mirrored and lit at random, run to the cut and to the
place where the decoder hands over (`target`). `transform.py`: which directions of the features matter to the answer, from the
gradients of the log probabilities of answers drawn from the model itself (Fisher information), and the orthogonal axes in that
measure along which the features vary most. `training_bottleneck.py` (PyTorch): the encoder and decoder, rounding and entropy in
the loop. `graph.py`: both, and the model's own tail, as ONNX. `making.py`: all of it, kept, resumable.
The head and the tail are the model's own and stay as they are.
"""
