"""What computes the network's CNN faster than its definition: `cpu` with Numba (`kernels`, and `winograd` for its convolutions),
`gpu` with Triton; `adam` for the optimiser's step, `cuda_graph` for whole training steps on a GPU. Each is tested against the
definition."""
