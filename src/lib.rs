//! elysiactl
