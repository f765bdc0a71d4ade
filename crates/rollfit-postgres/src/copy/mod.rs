//! Values and rows as the server's binary COPY carries them: instants, numbers, and rows from and to bytes.

pub(crate) mod binary_field;
pub(crate) mod column_number;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod encoded_field;
pub(crate) mod instant;
pub(crate) mod number_column;
pub(crate) mod numeric;
