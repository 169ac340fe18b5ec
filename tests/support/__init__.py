"""What tests of several folders share: data to work on, projects to run, faults."""
