//! A simulation of balena's API: what a device asks of it, answered as a real one answers, with its state in memory.
//!
//! [`cloud`] holds fleets, releases and devices, and decides what is answered; [`target`] renders the target state, [`report`] judges what devices report; all three are
//! functions of values. [`tokens`] are what a registry of images asks a device for. [`server`] is the HTTP around them, with an admin side ([`admin`]) and [`faults`] that are switched on from there.

pub mod admin;
pub mod client;
pub mod cloud;
pub mod faults;
pub mod report;
pub mod server;
pub mod target;
pub mod tokens;
pub mod told;
