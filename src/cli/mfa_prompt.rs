//! Codes of MFA devices: the one of `--mfa-code`, then what an operator enters on the terminal.

use std::io::BufRead;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::output::paragraph::paragraph;
use super::output::printable::printable;
use super::output::progress;
use super::output::terminal::Terminal;
use crate::adapters::aws::{AskCode, CodeRequest, MfaCode};

/// How often a text that is no code is asked for again.
const MOST_TEXTS: usize = 3;

/// The codes of this command.
#[derive(Debug)]
pub(super) struct Codes {
    terminal: Terminal,
    given: Option<MfaCode>,
    /// Whether the code of the command line has been handed out. AWS accepts a code once.
    is_spent: AtomicBool,
}

impl Codes {
    pub(super) const fn new(terminal: Terminal, given: Option<MfaCode>) -> Self {
        Self { terminal, given, is_spent: AtomicBool::new(false) }
    }
}

#[async_trait]
impl AskCode for Codes {
    async fn code(&self, request: &CodeRequest<'_>) -> Result<MfaCode, String> {
        let was_spent = self.is_spent.swap(true, Ordering::SeqCst);
        match &self.given {
            Some(code) if !was_spent => return Ok(code.clone()),
            _ if self.terminal.can_ask => {}
            Some(_) => {
                let why = "the one of --mfa-code was used for another role, and AWS accepts a code once; run it on a terminal, \
                           which asks for each";
                return Err(why.to_owned());
            }
            None => return Err("there is no terminal to ask on; run it on one, or add --mfa-code CODE".to_owned()),
        }
        let CodeRequest { whose, device, refused } = request;
        progress::pause();
        let width = self.terminal.width_on_stderr;
        if let Some(why) = refused {
            self.terminal.raw(&printable(&paragraph(why, 2, width)));
        }
        let needs = format!("{whose} needs a code of the MFA device {device}. Each session needs a code of its own.");
        self.terminal.raw(&printable(&paragraph(&needs, 2, width)));
        for _ in 0..MOST_TEXTS {
            self.terminal.raw("MFA code: ");
            let entered = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line).map(|length| (length, MfaCode::new(&line)))
            });
            match entered.await {
                Ok(Ok((0, _))) | Ok(Err(_)) | Err(_) => break,
                Ok(Ok((_, Some(code)))) => {
                    progress::go_on();
                    return Ok(code);
                }
                Ok(Ok((_, None))) => self.terminal.raw("a code has six digits\n"),
            }
        }
        progress::go_on();
        Err("none was entered; run it again with the code that the device shows then".to_owned())
    }

    fn can_ask(&self) -> bool {
        self.terminal.can_ask
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::cli::args::OutputFormat;

    fn codes(given: Option<&str>) -> Codes {
        let terminal = Terminal {
            format: OutputFormat::Table,
            color: false,
            color_on_stderr: false,
            width: None,
            width_on_stderr: None,
            progress: false,
            can_ask: false,
            quiet: false,
            began: Instant::now(),
        };
        Codes::new(terminal, given.map(|code| MfaCode::new(code).expect("a code")))
    }

    #[tokio::test]
    async fn the_code_of_the_command_line_serves_once() {
        let request = CodeRequest { whose: "the AWS profile `ops`", device: "arn:aws:iam::1:mfa/me", refused: None };
        let given = codes(Some("123 456"));
        assert!(given.code(&request).await.is_ok());
        let why = given.code(&request).await.expect_err("it is spent");
        assert!(why.contains("accepts a code once"), "{why}");
        let why = codes(None).code(&request).await.expect_err("no code is given");
        assert!(why.contains("--mfa-code"), "{why}");
    }

    #[test]
    fn a_code_has_six_digits_and_is_not_shown() {
        assert_eq!(format!("{:?}", MfaCode::new("123456")), "Some(MfaCode(…))");
        for text in ["", "12345", "1234567", "12345a", "１２３４５６"] {
            assert!(MfaCode::new(text).is_none(), "{text}");
        }
    }
}
