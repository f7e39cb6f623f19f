//! The fields of status callbacks (rest.md section 22).
