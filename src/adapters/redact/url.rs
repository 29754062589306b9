//! Shows a URL without its user information, whose password must not reach a message, the journal or a log.

/// The URL without the part before an `@`. A text that is not a valid URL may be a misspelt one, so nothing before
/// its last `@` is shown.
#[must_use]
pub fn shown_url(text: &str) -> String {
    if !text.contains('@') {
        return text.to_owned();
    }
    if let Some(mut url) = reqwest::Url::parse(text).ok().filter(reqwest::Url::has_host) {
        // Neither call fails for a URL with a host.
        let is_cut = url.set_username("").is_ok() && url.set_password(None).is_ok();
        if is_cut {
            return url.to_string();
        }
    }
    let scheme = text.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}{}", text.rsplit('@').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_is_not_shown() {
        for (text, shown) in [
            ("https://vault.example.com:8200/x?y#z", "https://vault.example.com:8200/x?y#z"),
            ("vault", "vault"),
            ("https://root:s3cret@vault.example.com/a", "https://vault.example.com/a"),
            ("https://s3cret@[::1]:8200/", "https://[::1]:8200/"),
            ("https://root:s3%40cret@vault/p@th", "https://vault/p@th"),
            ("http://root:s3/cret@vault", "http://vault"),
            ("https://root:s3cret@", "https://"),
            ("root:s3cret@vault:8200", "vault:8200"),
            ("vault://root:s3@cret@host/kv", "vault://host/kv"),
        ] {
            assert_eq!(shown_url(text), shown, "{text}");
        }
    }
}
