//! elysiactl

pub mod sandbox;
