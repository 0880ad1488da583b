"""The dashboard of jobs: their list, their page, their form; and the environments and secrets that they use."""
