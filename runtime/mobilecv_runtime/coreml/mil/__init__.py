"""The operations of ML Programs (MIL), each written from its specification."""
