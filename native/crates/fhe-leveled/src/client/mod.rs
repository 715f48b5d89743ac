//! The data owner's side.

mod ball;

pub use ball::RecordBall;
