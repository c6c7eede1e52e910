//! JSON Pointers (RFC 6901).

/// A key as it is written in a pointer (§3).
pub fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Makes a pointer lead to what stands under a key.
pub fn step(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&token(key));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_that_was_made_leads_there() {
        let value = serde_json::json!({ "a/b": { "~1": 7 } });
        let mut pointer = String::new();
        for key in ["a/b", "~1"] {
            step(&mut pointer, key);
        }
        assert_eq!((pointer.as_str(), value.pointer(&pointer)), ("/a~1b/~01", Some(&7.into())));
    }
}
