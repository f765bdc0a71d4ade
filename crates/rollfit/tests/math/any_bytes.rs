//! Every promise at once for series of any bytes, as the fuzz target in `fuzz/` holds them.

use super::*;
use crate::support::any_bytes;

proptest! {
    #![proptest_config(cases(1500))]
    #[test]
    fn whatever_the_bytes_the_promises_hold(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        any_bytes::hold(&bytes);
    }
}
