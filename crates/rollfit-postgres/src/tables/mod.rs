//! Tables as the server's catalogues describe them, and what keeps rollfit from reading or writing them: columns, rights,
//! policies, foreign keys, triggers. Also the tables of receipts and definitions, and rows that wait beside a table.

pub(crate) mod applied_policies;
pub(crate) mod capacity;
pub(crate) mod defect;
pub(crate) mod definitions;
pub(crate) mod foreign_key;
pub(crate) mod leaf;
pub(crate) mod problem;
pub(crate) mod receipt_batch;
pub(crate) mod receipts;
pub(crate) mod rights;
pub(crate) mod row_security;
pub(crate) mod staging;
pub(crate) mod stored_receipt;
pub(crate) mod table;
pub(crate) mod trigger;
