//! What limits come to as control files.
