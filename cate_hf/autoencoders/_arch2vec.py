"""arch2vec (Yan et al., "Does Unsupervised Architecture Representation Learning Help Neural Architecture Search?",
NeurIPS 2020) as one of the encodings.
"""

from cate_hf.autoencoders._arch2vec_model import Arch2VecModel
from cate_hf.autoencoders._base import VaeEncoding

__all__ = ["Arch2VecEncoding"]


class Arch2VecEncoding(VaeEncoding):
    """16 numbers: the mean latent vectors of an architecture's nodes, summed and divided by `max_nodes`.

    Five layers of a graph isomorphism network over the symmetrised adjacency matrix, trained as a variational
    autoencoder whose decoder has the inner products of latent vectors for edges (sections 3.1.2 to 3.1.4).

    Lost is the direction of edges: what has the same operations and the same edges without their direction shares a
    vector. By the bundled model 264,758 of the 423,624 cells of NAS-Bench-101 share one, up to six of them, and no two
    graphs of NAS-Bench-201. Isomorphic drawings share a vector, up to rounding.

    Arguments and errors are those of `VaeEncoding`.
    """

    name = "arch2vec"
    model_class = Arch2VecModel
