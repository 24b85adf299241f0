"""Is this installation well? One question a function; each answer says what it means and which command repairs it."""
