use std::{
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Configuration, ConfigurationError, command_line, environment, json,
    tree::{Node, Value},
};

/// Collects the layers of a [`Configuration`], lowest precedence first.
///
/// Adding a layer reads nothing yet: [`build`](Self::build) does, and may be called again to read changed
/// files afresh.
///
/// ```
/// # use hosting::Configuration;
/// let configuration = Configuration::builder()
///     .json_text("appsettings.json", r#"{ "Greeting": "hello", "Limits": { "Connections": 10 } }"#)
///     .command_line(["--greeting", "good morning"])
///     .build()?;
/// assert_eq!(configuration.get("greeting"), Some("good morning"));
/// assert_eq!(configuration.source("greeting"), Some("command line --greeting"));
/// assert_eq!(configuration.get_parsed("Limits:Connections")?, Some(10));
/// # Ok::<(), hosting::ConfigurationError>(())
/// ```
#[doc(alias = "IConfigurationBuilder")]
#[doc(alias = "ConfigurationManager")]
#[derive(Clone, Default)]
pub struct ConfigurationBuilder {
    layers: Vec<Layer>,
}

#[derive(Clone)]
enum Layer {
    JsonFile { path: PathBuf, optional: bool },
    JsonText { name: String, text: String },
    Environment { prefix: Option<String>, variables: Vec<environment::Variable> },
    CommandLine { arguments: Vec<String>, mappings: Vec<(String, String)> },
    Values(Vec<(String, String)>),
    Chained(Configuration),
}

impl ConfigurationBuilder {
    /// Adds a JSON file, in which comments and trailing commas are allowed. An optional file may be missing;
    /// one that is there must be right.
    #[doc(alias = "AddJsonFile")]
    #[must_use]
    pub fn json_file(self, path: impl Into<PathBuf>, optional: bool) -> Self {
        self.with(Layer::JsonFile { path: path.into(), optional })
    }

    /// Adds JSON from memory; `name` stands for the file in sources and errors.
    #[doc(alias = "AddJsonStream")]
    #[must_use]
    pub fn json_text(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.with(Layer::JsonText { name: name.into(), text: text.into() })
    }

    /// Adds environment variables, given as name, value, and the text that names their source if it is not
    /// `environment variable NAME`. With a prefix only those that begin with it count, and lose it; its
    /// case does not matter. `__` stands for `:`.
    ///
    /// The process's own variables are not read here, so that a caller may lay others over them.
    #[doc(alias = "AddEnvironmentVariables")]
    #[must_use]
    pub fn environment_variables(
        self,
        prefix: Option<&str>,
        variables: impl IntoIterator<Item = (String, String, Option<String>)>,
    ) -> Self {
        let prefix = prefix.map(ToOwned::to_owned);
        self.with(Layer::Environment { prefix, variables: variables.into_iter().collect() })
    }

    /// Adds command-line arguments, without the program's name.
    ///
    /// | form | effect |
    /// |---|---|
    /// | `key=value`, `--key=value`, `/key=value` | sets the key |
    /// | `--key value`, `/key value` | sets the key; the next argument is the value whatever it looks like |
    /// | `-k=value` | an error unless `-k` is mapped |
    /// | `-k value` without a mapping, a bare word, a last `--key` | passed over |
    ///
    /// The last of several wins.
    #[doc(alias = "AddCommandLine")]
    #[must_use]
    pub fn command_line(self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command_line_mapped(arguments, [] as [(String, String); 0])
    }

    /// As [`command_line`](Self::command_line), with switches such as `-u` or `--address` that stand for
    /// keys. A switch begins with `-`, is compared without regard to case and is given once; `/name` counts
    /// as `--name`.
    #[doc(alias = "switchMappings")]
    #[must_use]
    pub fn command_line_mapped(
        self,
        arguments: impl IntoIterator<Item = impl Into<String>>,
        mappings: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        let mappings = mappings.into_iter().map(|(switch, key)| (switch.into(), key.into())).collect();
        self.with(Layer::CommandLine { arguments, mappings })
    }

    /// Adds keys and values set by the program.
    #[doc(alias = "AddInMemoryCollection")]
    #[must_use]
    pub fn values(self, values: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let values = values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.with(Layer::Values(values))
    }

    /// Adds another configuration; its values keep their sources.
    #[doc(alias = "AddConfiguration")]
    #[must_use]
    pub fn chain(self, configuration: &Configuration) -> Self {
        self.with(Layer::Chained(configuration.clone()))
    }

    /// The files that [`build`](Self::build) reads, whether or not they exist: what to watch for changes.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::JsonFile { path, .. } => Some(path.as_path()),
            _ => None,
        })
    }

    /// Reads the layers, each over the one before.
    ///
    /// # Errors
    /// A file cannot be read or is not right, or the command line sets a short switch that is not mapped.
    pub fn build(&self) -> Result<Configuration, ConfigurationError> {
        let mut root = Node::default();
        for layer in &self.layers {
            layer.read(&mut root)?;
        }
        Ok(Configuration { root: Arc::new(root) })
    }

    fn with(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }
}

impl Layer {
    fn read(&self, root: &mut Node) -> Result<(), ConfigurationError> {
        match self {
            Self::JsonFile { path, optional } => match read_file(path, *optional)? {
                Some(text) => json::read(&path.display().to_string(), &text, root),
                None => Ok(()),
            },
            Self::JsonText { name, text } => json::read(name, text, root),
            Self::Environment { prefix, variables } => environment::read(prefix.as_deref(), variables, root),
            Self::CommandLine { arguments, mappings } => command_line::read(arguments, mappings, root),
            Self::Values(values) => {
                values.iter().try_for_each(|(key, value)| root.set(key, Value::text(value, "set in code")))
            }
            Self::Chained(configuration) => {
                root.merge(&configuration.root);
                Ok(())
            }
        }
    }
}

fn read_file(path: &Path, optional: bool) -> Result<Option<String>, ConfigurationError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        // A link that leads nowhere was put there by somebody.
        Err(error) if optional && error.kind() == ErrorKind::NotFound && !path.is_symlink() => Ok(None),
        Err(error) => Err(ConfigurationError::caused(format!("could not read {}", path.display()), error)),
    }
}

impl fmt::Debug for ConfigurationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigurationBuilder").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}
