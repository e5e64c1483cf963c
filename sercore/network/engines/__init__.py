"""What computes the network's CNN faster than its definition: `cpu` with Numba (`kernels`, and `winograd` for its convolutions),
`gpu` with Triton, `cuda_graph` for whole training steps there. Each is tested against the definition."""
