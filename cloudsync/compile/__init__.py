"""Policy x inventory -> what is wanted at every enforcement point. Pure, exact, in one fixed order."""
