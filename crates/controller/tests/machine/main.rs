//! The machine through its inputs, its log and its image.

#[cfg(test)]
mod configs;
#[cfg(test)]
mod log;
#[cfg(test)]
mod random;
#[cfg(test)]
mod scram;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod support;
#[cfg(test)]
mod topics;
