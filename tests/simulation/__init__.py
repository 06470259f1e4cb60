"""The simulation: real workers on a virtual loop and a store that misbehaves, random flows, all promises checked."""
