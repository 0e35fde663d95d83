//! The element `handlerSettings`: names and values, of which some mean something here.

use roxmltree::Node;

use super::element::pairs;
use super::reader::Reader;
use super::values;
use crate::nearest;

/// The settings of the request handler that the module obeys.
#[doc(alias = "handlerSettings")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerSettings {
    /// Whether the application's `Connection` field is passed on to the client; out of process only. Default is false.
    #[doc(alias = "forwardResponseConnectionHeader")]
    pub forward_response_connection_header: bool,
    /// Whether standard output and standard error of the application are read; else they go nowhere. Default is true.
    #[doc(alias = "enableOutOfProcessConsoleRedirection")]
    pub enable_out_of_process_console_redirection: bool,
    /// Whether an application in process starts in its own folder. Default is true.
    #[doc(alias = "setCurrentDirectory")]
    pub set_current_directory: bool,
}

impl Default for HandlerSettings {
    fn default() -> Self {
        Self {
            forward_response_connection_header: false,
            enable_out_of_process_console_redirection: true,
            set_current_directory: true,
        }
    }
}

const OBEYED: [&str; 3] =
    ["forwardResponseConnectionHeader", "enableOutOfProcessConsoleRedirection", "setCurrentDirectory"];

/// What the original has for Windows and for .NET.
const NOT_APPLIED: [&str; 14] = [
    "handlerVersion",
    "enableShadowCopy",
    "experimentalEnableShadowCopy",
    "shadowCopyDirectory",
    "experimentalShadowCopyDirectory",
    "cleanShadowCopyDirectory",
    "experimentalCleanShadowCopyDirectory",
    "stackSize",
    "debugFile",
    "debugLevel",
    "callStartupHook",
    "suppressRecycleOnStartupTimeout",
    "shutdownDelay",
    "disallowRotationOnConfigChange",
];

/// Reads the element. Names are compared without regard to case.
pub(super) fn read<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    element: Node<'a, 'input>,
) -> HandlerSettings {
    let mut settings = HandlerSettings::default();
    for (setting, name, value) in pairs(reader, element, "handlerSetting") {
        let is = |known: &&&str| known.eq_ignore_ascii_case(&name);
        if let Some(known) = NOT_APPLIED.iter().find(is) {
            reader.note(
                setting,
                format_args!("the handler setting {known} is not applied: it is for Windows or .NET"),
            );
            continue;
        }
        let Some(known) = OBEYED.iter().find(is) else {
            let advice = nearest::advice(&name, &[&OBEYED[..], &NOT_APPLIED[..]].concat());
            reader.problem(setting, format_args!("handlerSetting name={name:?} is not known; {advice}"));
            continue;
        };
        match values::bool(&value) {
            Ok(value) => set(&mut settings, known, value),
            Err(reason) => reader.problem(setting, format_args!("{known} value={value:?} {reason}")),
        }
    }
    settings
}

fn set(settings: &mut HandlerSettings, name: &str, value: bool) {
    match name {
        "forwardResponseConnectionHeader" => settings.forward_response_connection_header = value,
        "enableOutOfProcessConsoleRedirection" => settings.enable_out_of_process_console_redirection = value,
        _ => settings.set_current_directory = value,
    }
}
