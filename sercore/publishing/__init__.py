"""What turns records and templates into the site: `chapters` executes what is out of date, `notebooks` is papermill's engine for
it, `missing` trains what a chapter lacks, `explorer` and `voice` write what the interactive pages load."""
