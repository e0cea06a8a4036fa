//! The stream engine against the figures its task names: rows in this process, many rules, and the whole program.

mod lab;
mod many;
mod rows;
mod stored;
mod subscriber;

pub(crate) use many::measure as many;
pub(crate) use rows::measure as rows;
pub(crate) use stored::measure as stored;
pub(crate) use subscriber::measure as subscriber;
