use crate::arguments::NewOptions;
use std::error::Error;
pub(crate) fn run(_: &NewOptions) -> Result<(), Box<dyn Error>> {
    Ok(())
}
