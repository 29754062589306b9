//! FLOOR 3: the real world behind the ports. An adapter knows neither the drive nor another adapter.

pub mod aws;
