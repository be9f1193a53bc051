package main

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

const envelope = xml.Header + `<soapenv:Envelope ` +
	`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
	`xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
	`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
	`<soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`

// fault answers with the rule's fault instead of doing anything.
func fault(_ *host, is *rule, seen *call, _ http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		raised, err := is.decoded(seen)
		if err != nil {
			panic(err)
		}
		answerWithFault(w, raised, "by a rule")
	})
}

// answerWithFault has the call raise a fault.
func answerWithFault(w http.ResponseWriter, raised types.BaseMethodFault, why string) {
	kind := reflect.TypeOf(raised).Elem().Name()
	var detail bytes.Buffer
	element := xml.StartElement{
		Name: xml.Name{Local: kind + "Fault"},
		Attr: []xml.Attr{
			{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"},
			{Name: xml.Name{Local: "xsi:type"}, Value: kind},
		},
	}
	if err := xml.NewEncoder(&detail).EncodeElement(raised, element); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, envelope, fmt.Sprintf(
		`<soapenv:Fault><faultcode>ServerFaultCode</faultcode>`+
			`<faultstring>%s %s</faultstring>`+
			`<detail>%s</detail></soapenv:Fault>`, kind, why, detail.String()))
}

// decoded is the rule's fault. References that it leaves out are to the object of the call: pyvmomi
// cannot read a fault that lacks one.
func (is *rule) decoded(seen *call) (types.BaseMethodFault, error) {
	var raised types.BaseMethodFault
	decoder := types.NewJSONDecoder(bytes.NewReader(is.Fault))
	if err := decoder.Decode(&raised); err != nil || raised == nil {
		return nil, fmt.Errorf("is no vim fault: %v", err)
	}
	if seen == nil {
		return raised, nil
	}
	method, err := seen.method()
	if err != nil {
		return nil, err
	}
	fields := reflect.ValueOf(raised).Elem()
	for i := range fields.NumField() {
		field := fields.Field(i)
		switch field.Interface().(type) {
		case types.ManagedObjectReference, *types.ManagedObjectReference:
			if !field.IsZero() {
				continue
			}
			if field.Kind() == reflect.Pointer {
				field.Set(reflect.ValueOf(&method.This))
			} else {
				field.Set(reflect.ValueOf(method.This))
			}
		}
	}
	return raised, nil
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }
