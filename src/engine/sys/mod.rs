//! The fence around system calls: `unsafe` lives below this folder and nowhere else.
