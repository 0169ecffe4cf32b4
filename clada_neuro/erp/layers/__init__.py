"""A measure's regression ERP for each layer of a model: when it speaks to the responses, and where on the scalp."""
