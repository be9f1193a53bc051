"""Work of many stages that outlives the process that began it, as runbooks."""
