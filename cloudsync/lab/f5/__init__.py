"""A simulated BIG-IP pair on loopback: iControl REST with AFM and what of LTM and the network an AFM policy hangs on."""
