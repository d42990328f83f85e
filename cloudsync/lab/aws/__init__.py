"""EC2 as it behaves, on loopback: moto's server behind a strict shim that corrects it row by row."""
