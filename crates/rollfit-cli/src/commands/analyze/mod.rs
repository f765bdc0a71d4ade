//! `rollfit analyze`: what limits a run, what to do about it, and what that would bring, told from the run's record.

#[cfg(test)]
mod example;
mod facts;
mod figures;
mod html;
mod markdown;
mod tables;
mod terminal;
