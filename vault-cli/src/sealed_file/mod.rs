//! One file sealed to cards, without a vault. Spec section 2.6.
//!
//! ```text
//! head || FLOE ciphertext of the file
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`head`] | who may open it: a seal of the file's key for each card |
//! | [`body`] | sealing and opening the stream of segments |
//! | [`pipeline`] | a few large buffers between the thread that seals or opens and the one that writes |
//! | [`end`] | what is read and what is written: files, devices, standard input and output |
//! | [`target`] | the file that is written: nobody sees it before it is whole |

pub mod body;
pub mod end;
pub mod head;
pub mod pipeline;
pub mod target;
