//! Files that are damaged by chance, and what the program does with them.
//!
//! ```text
//! case: a file, damaged, and what is asked of the program
//!   │
//!   ├── corpus     files that are right
//!   ├── formats    damage that knows the format ── change: damage of bytes and text
//!   └── child      the program under limits, and what is wrong with how it ended
//!        chance    what a seed decides
//! ```

pub(crate) mod case;
pub(crate) mod chance;
pub(crate) mod change;
pub(crate) mod child;
pub(crate) mod corpus;
pub(crate) mod formats;
