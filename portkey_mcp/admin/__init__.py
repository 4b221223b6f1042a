"""The JSON API of the control plane, `/api/v1`: thin, over the same services as the command line."""
