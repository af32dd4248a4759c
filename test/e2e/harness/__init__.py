"""What the whole-system tests are made of; see README.md beside this folder."""
