//! Images: manifests, configurations and names.

pub mod config;
