//! `execve(2)`: a program takes over a process.
