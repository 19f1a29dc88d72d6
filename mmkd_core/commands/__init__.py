"""The subcommands of `mmkd`, each module with those that belong together."""
