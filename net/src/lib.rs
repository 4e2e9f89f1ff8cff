//! Net.
#![no_std]
