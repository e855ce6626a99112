//! Headers of a record as any producer may have written them.

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings::{
    rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_headers, rd_kafka_resp_err_t as Answer,
};
use rdkafka::message::BorrowedMessage;

/// Every header in its order. The binding's own reader panics at a name that is not UTF-8, so that one record of a
/// foreign producer would end a client; here such a name is decoded with replacement characters.
#[allow(unsafe_code, reason = "the binding reads header names only by a function that panics")]
pub(crate) fn of(message: &BorrowedMessage<'_>) -> Vec<(String, Vec<u8>)> {
    let mut headers: *mut rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: the message is alive for the whole call, and owns the headers that it points to.
    let found = unsafe { rd_kafka_message_headers(message.ptr(), &mut headers) };
    let mut all = Vec::new();
    if found != Answer::RD_KAFKA_RESP_ERR_NO_ERROR || headers.is_null() {
        return all;
    }
    loop {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: as above; an index beyond the last header is answered with an error, and the three places are ours.
        let got = unsafe { rd_kafka_header_get_all(headers, all.len(), &mut name, &mut value, &mut length) };
        if got != Answer::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return all;
        }
        // SAFETY: the library ends each name with a zero byte, and both live as long as the message.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let value = if value.is_null() || length == 0 {
            Vec::new()
        } else {
            // SAFETY: the library says how many bytes the value has.
            unsafe { std::slice::from_raw_parts(value.cast::<u8>(), length) }.to_vec()
        };
        all.push((name, value));
    }
}
