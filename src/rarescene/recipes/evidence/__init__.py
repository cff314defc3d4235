"""Does it help? Arms of a study, trained at equal steps and compared, as its configuration says."""
